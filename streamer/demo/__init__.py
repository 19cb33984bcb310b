"""The demo: a sample world, its traffic, and the models that answer it."""
