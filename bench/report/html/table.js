// Tables that sort and filter, and commands that copy themselves. Without this file every table is there all the same.
"use strict";

const COLLATOR = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** The rows that are data, and not the heading of a section. */
const rowsOf = (body) => [...body.rows].filter((row) => !row.classList.contains("section"));

/** What a cell is sorted by: its number, its text, or null where it is empty. */
function keyOf(row, column) {
  const cell = row.cells[column];
  const value = cell.dataset.value;
  if (value === undefined) {
    const text = cell.textContent.trim();
    return text === "" || text === "–" ? null : text;
  }
  return value === "" || value === "None" || value === "0" && cell.textContent === "–" ? null : Number(value);
}

/** Sort each section for itself; what is empty stays last, and equal rows keep their order. */
function sort(table, column, descending) {
  for (const body of table.tBodies) {
    const rows = rowsOf(body).map((row) => [keyOf(row, column), row]);
    const sign = descending ? -1 : 1;
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "number" && typeof b === "number" ? a - b : COLLATOR.compare(String(a), String(b)));
    });
    body.append(...rows.map(([, row]) => row));
  }
  const heads = table.tHead.rows[0].cells;
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(table, column, head.getAttribute("aria-sort") === "ascending"));
    head.replaceChildren(button);
  });
}

/** Show the rows that have every word, and the headings of sections that have such rows. */
function filter(table, words, texts) {
  let shown = 0;
  let all = 0;
  for (const body of table.tBodies) {
    let inBody = 0;
    for (const row of rowsOf(body)) {
      if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
      const text = texts.get(row);
      row.hidden = !words.every((word) => text.includes(word));
      inBody += row.hidden ? 0 : 1;
      all += 1;
    }
    body.hidden = inBody === 0;
    shown += inBody;
  }
  return words.length ? `${shown} of ${all} rows` : `${all} rows`;
}

function makeFilterable(table) {
  const texts = new WeakMap();
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "words, such as: V100 pytorch";
  const label = document.createElement("label");
  label.append("Filter", input);
  const output = document.createElement("output");
  const bar = document.createElement("div");
  bar.className = "filter";
  bar.append(label, output);
  const refresh = () => {
    output.value = filter(table, input.value.toLowerCase().split(/\s+/).filter(Boolean), texts);
  };
  input.addEventListener("input", refresh);
  table.parentElement.before(bar);
  const count = [...table.tBodies].reduce((sum, body) => sum + rowsOf(body).length, 0);
  output.value = `${count} rows`;
}

/** A button below each command, made when it comes into view: there may be thousands. */
function makeCopyable(command) {
  const text = command.textContent;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(command);
      button.textContent = "Selected: press Ctrl-C";
    }
  });
  command.after(button);
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  makeSortable(table);
  if (table.tBodies.length > 1 || table.rows.length > 6) makeFilterable(table);
}

for (const command of document.querySelectorAll("main > pre.command")) makeCopyable(command);
document.addEventListener("toggle", (event) => {
  for (const command of event.target.querySelectorAll?.("pre.command") ?? []) {
    if (!command.nextElementSibling?.classList.contains("copy")) makeCopyable(command);
  }
}, true);
