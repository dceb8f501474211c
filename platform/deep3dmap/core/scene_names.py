"""Names of scenes, as files carry them."""


def folder_name(scene: str) -> str:
    """Return the name of the folder that what belongs to a scene is kept in: SUBJECT/VIEW becomes SUBJECT_VIEW."""
    return scene.replace("/", "_").replace("\\", "_")
