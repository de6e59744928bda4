"""Charts as data: scales, series, dots with intervals. Others draw them: as HTML, in a terminal, as SVG and PNG."""
