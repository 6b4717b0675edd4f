"""Whether a worker's machine is fit to run what it is given: looked at again and again, and told."""
