"""What has to hold after every step, checked against what really happens in the simulated world."""
