"""Import runs from other tools and export runs to them."""
