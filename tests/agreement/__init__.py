"""What the callback and the server must know alike, each in its own language."""
