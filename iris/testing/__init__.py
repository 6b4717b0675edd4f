"""What tests share: clocks that are turned by hand, waiting for conditions, local clusters, leak
checks, fakes.
"""
