"""Object detection: box files, targets, the detector's head, its loss, and drawn boxes."""
