"""A small web server that counts the requests it has served in its lifetime."""
