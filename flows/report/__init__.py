"""The report of a build: ``report.json``, ``report.html``, a table on the terminal."""
