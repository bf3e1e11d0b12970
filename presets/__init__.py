"""The preset tables; `ssdzoo.registry` reads them."""
