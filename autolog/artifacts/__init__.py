"""Files of runs: content-addressed blobs, staged models and their manifests."""
