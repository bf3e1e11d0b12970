"""The operations of an augmentation: what is drawn, boxes, pixels, four images in one, and transforms of others."""
