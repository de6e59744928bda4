from bench.execution import imports

if __name__ == "__main__":
    imports.forget_current_folder()

    from bench.cli.app import main

    main()
