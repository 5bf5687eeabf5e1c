// Images: content, layers, images and their names.
//
// `ImageStore` keeps everything about images under one root directory:
//
//     <root>/blobs/sha256/<hex>      configs, manifests and the layers' tar streams as they came (OCI layout)
//     <root>/layers/<chain ID>/diff  each layer unpacked, in overlayfs' form of whiteouts: a lowerdir
//     <root>/layers/<chain ID>/layer.json   what is known of the layer
//     <root>/tmp                     work in flight; emptied at start
//     <root>/damaged                 what could not be read, set aside
//
// Names and images are records in the daemon's `RecordStore`. Everything becomes visible by a rename of finished,
// flushed content, and is recorded after that; the next start accepts whatever a crash leaves.
// `LayerIngest` takes a layer's tar stream in one pass: sniff, inflate, hash, unpack. `ArchiveLoader` and `ArchiveSaver`
// speak docker save's format and OCI layout. Synchronous and thread-safe; used by Builder and Engine.
