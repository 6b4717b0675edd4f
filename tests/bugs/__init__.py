"""Old bugs, put back on purpose, so that the smoke flow can be seen to catch them. For tests only."""
