// Images: content, layers, images and their names.
//
// `ImageStore` keeps everything about images under one root directory:
//
//     <root>/blobs/sha256/<hex>      configs, manifests and the layers' tar streams as they came (OCI layout)
//     <root>/layers/<chain ID>/diff  each layer unpacked, in overlayfs' form of whiteouts: a lowerdir
//     <root>/layers/<chain ID>/layer.json   what is known of the layer
//     <root>/tmp                     work in flight; emptied at start
//     <root>/damaged                 what could not be read or was not what it was, set aside
//
// Names and images are records in the daemon's `RecordStore`. Everything becomes visible by a rename of finished,
// flushed content, and is recorded after that; the next start accepts whatever a crash leaves.
// What is looked at, taken and not recorded yet is held by a `LayerLease`; what nobody holds goes at once, while others load
// and pull: names are taken away under the lock, files removed outside of it. `StoreCheck` looks whether all is whole, and
// heals; images of which something is missing are lost until it comes back, with their names (`ImageStore+Lost`).
// `UnpackLimits` tells large from hostile. `LayerIngest` takes a layer's tar stream in one pass: sniff, inflate, hash, unpack. `ArchiveLoader` and `ArchiveSaver`
// speak docker save's format and OCI layout. Synchronous and thread-safe; used by Builder and Engine.
//
// Registry/ moves images from and to registries: `ImageTransfers` is asked for a pull or push and reports `TransferProgress`.
// A pull reads a `RemoteImage`, then fetches its layers side by side: each is a `LayerTransfer`, shared by all pulls that want
// it, which streams the blob through `BodyPipe` into `LayerIngest`. A push sends what came as it came (`FileBody`), and packs
// what was made here (`LayerPacking`, `GzipSink`). This part is asynchronous; what blocks in it has threads of its own.
