"""`litellm-spend doctor`: looks one after the other at everything that recording needs, and says what to do."""
