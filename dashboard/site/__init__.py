"""A result store as a folder of plain files, for a project page or a paper's supplement; opens from a disk or any server."""
