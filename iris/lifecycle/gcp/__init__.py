"""The controller of a cluster on a machine that is bought for it from Google's Compute Engine.

Import from the modules: see iris.lifecycle.
"""
