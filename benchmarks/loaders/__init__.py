"""Data loaders side by side: ours, webdataset, wids, mosaicml-streaming, litdata and megatron-energon.

Each module but `contract`, `images`, `convert` and `rank` is one library, used by its own documents: it writes the
images of a Triptych store in its own format, reads them back shuffled, and resumes as it recommends.
"""
