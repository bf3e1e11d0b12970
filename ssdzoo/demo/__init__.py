"""The quickstart and the shapes that it draws."""
