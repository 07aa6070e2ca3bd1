"""The HTTP side (``http-api.md``): Klein routes, who may ask, and how answers and errors look."""
