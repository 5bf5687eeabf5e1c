// Archive: tar streams, read and written. Part of the static zone.
//
// `TarReader` yields the entries of a stream (ustar, pax, GNU long names and sparse files, base-256 numbers);
// `TarWriter` writes ustar with pax records where ustar can't say it, always the same bytes for the same entries.
// `TreeExtractor` unpacks a stream into an open directory and lets nothing out of it; `TreeArchiver` packs a
// directory. Both know overlayfs' whiteouts and OCI's. Bytes come from a `ByteSource` and go to a `ByteSink`;
// `FileSource` and `FileSink` are those of a descriptor.
// Used by the shim (cp), Images (layers, save, load), Builder (contexts, ADD) and the client (build, cp).
