"""From meshes and maps to images."""
