"""From terms to items: languages as regular expressions, value sets and lazily expanded items."""
