"""Scripts that make the demo's models; nothing here is imported while serving."""
