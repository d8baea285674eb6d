"""Files of models: arrays and a JSON header in an uncompressed .npz archive, or JSON alone.

Reading executes nothing, and takes memory in proportion to the length of the file.
"""
