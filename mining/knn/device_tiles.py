"""The shape of tiles on a GPU, for torch and for the Triton kernels alike."""

GROUP = 128  # rows or columns whose highest similarity is looked at first
DEPTH = 64  # dimensions that a kernel multiplies at a time; vectors are padded to whole steps
