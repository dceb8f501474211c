"""Folder names of scenes."""


def folder_name(scene: str) -> str:
    """Return the name of the folder for a scene: SUBJECT/VIEW becomes SUBJECT_VIEW."""
    return scene.replace("/", "_").replace("\\", "_")
