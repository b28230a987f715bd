"""The emoji atelier: real artwork of the same subjects by different hands, fetched from npm."""
