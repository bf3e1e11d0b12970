"""Results as pictures, pages and tables."""
