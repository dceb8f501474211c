"""Renderers of meshes, fields and maps."""
