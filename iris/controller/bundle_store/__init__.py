"""Bundles that were uploaded, by digest, on the controller's disk."""

from iris.controller.bundle_store.store import BundleStore

__all__ = ["BundleStore"]
