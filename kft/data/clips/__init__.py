"""Clips: video files, animated GIFs and folders of frames, from which a few frames are sampled."""
