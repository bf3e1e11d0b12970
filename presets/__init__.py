"""The preset tables; `ssdzoo.zoo` reads them."""
