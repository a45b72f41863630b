"Find salt in seismic images: from a folder of tiles to a submission."
__version__ = "0.1.0"
