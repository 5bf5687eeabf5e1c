internal import CCrypto
internal import JSON
internal import Linux

/// A key that verifies signatures of tokens: RSA or ECDSA on P-256, P-384, P-521. From a PEM file (a public key, or a
/// certificate whose key it is) or a JSON Web Key Set (RFC 7517).
///
/// `@unchecked Sendable`: OpenSSL's keys are read by several threads at once safely once made.
final class PublicKey: @unchecked Sendable {
    private let key: OpaquePointer
    /// `kid` of a JSON Web Key.
    let id: String?

    private init(_ key: OpaquePointer, id: String?) {
        self.key = key
        self.id = id
    }

    deinit { EVP_PKEY_free(key) }

    /// The keys of a PEM file, at least one.
    static func keys(pem path: String) throws -> [PublicKey] {
        let bytes = try Files.read(path, limit: 1 << 20)
        let isCertificate = String(decoding: bytes, as: UTF8.self).contains("-----BEGIN CERTIFICATE-----")
        var keys: [PublicKey] = []
        // The source reads from these bytes as long as it lives.
        try bytes.withUnsafeBytes { bytes in
            guard let source = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count)) else {
                throw ConfigurationError("\(path): out of memory")
            }
            defer { BIO_free(source) }
            if isCertificate {
                while let certificate = PEM_read_bio_X509(source, nil, nil, nil) {
                    defer { X509_free(certificate) }
                    if let key = X509_get_pubkey(certificate) { keys.append(PublicKey(key, id: nil)) }
                }
            } else {
                while let key = PEM_read_bio_PUBKEY(source, nil, nil, nil) { keys.append(PublicKey(key, id: nil)) }
            }
        }
        ERR_clear_error()
        guard !keys.isEmpty else { throw ConfigurationError("\(path): no PEM public key or certificate") }
        return keys
    }

    /// The usable keys of a JSON Web Key Set, at least one.
    static func keys(jwks path: String) throws -> [PublicKey] {
        let document: JSONValue
        do { document = try JSONValue(parsing: try Files.read(path, limit: 1 << 20)) } catch {
            throw ConfigurationError("\(path): \(error)")
        }
        let keys = (document["keys"]?.arrayValue ?? []).compactMap { PublicKey(jwk: $0) }
        guard !keys.isEmpty else { throw ConfigurationError("\(path): no JSON Web Key of type RSA or EC") }
        return keys
    }

    /// RFC 7518, 6.2 and 6.3. Nil for keys of other types or for encryption.
    convenience init?(jwk: JSONValue) {
        func number(_ name: String) -> [UInt8]? { jwk[name]?.stringValue.flatMap { Base64.decode($0) } }
        guard jwk["use"]?.stringValue ?? "sig" == "sig", let builder = OSSL_PARAM_BLD_new() else { return nil }
        defer { OSSL_PARAM_BLD_free(builder) }
        var numbers: [OpaquePointer] = []
        defer { for number in numbers { BN_free(number) } }
        func push(_ name: StaticString, number bytes: [UInt8]) {
            guard let big = BN_bin2bn(bytes, Int32(bytes.count), nil) else { return }
            numbers.append(big)
            OSSL_PARAM_BLD_push_BN(builder, name.lasting, big)
        }
        var point: [UInt8] = []
        var group: StaticString = ""
        let type: String
        switch jwk["kty"]?.stringValue {
        case "RSA":
            guard let modulus = number("n"), let exponent = number("e"), modulus.count >= 256 else { return nil }
            type = "RSA"
            push("n", number: modulus)
            push("e", number: exponent)
        case "EC":
            let curves: [String: (name: StaticString, bytes: Int)] = [
                "P-256": ("prime256v1", 32), "P-384": ("secp384r1", 48), "P-521": ("secp521r1", 66),
            ]
            guard let curve = jwk["crv"]?.stringValue.flatMap({ curves[$0] }), let x = number("x"), let y = number("y"),
                x.count == curve.bytes, y.count == curve.bytes
            else { return nil }
            type = "EC"
            point = [4] + x + y
            group = curve.name
        default: return nil
        }
        // The builder keeps pointers to names, texts and bytes, not copies, until it makes the parameters.
        let made = point.withUnsafeBytes { bytes in
            if !bytes.isEmpty {
                OSSL_PARAM_BLD_push_utf8_string(builder, ("group" as StaticString).lasting, group.lasting, 0)
                OSSL_PARAM_BLD_push_octet_string(builder, ("pub" as StaticString).lasting, bytes.baseAddress, bytes.count)
            }
            return OSSL_PARAM_BLD_to_param(builder)
        }
        guard let parameters = made, let context = EVP_PKEY_CTX_new_from_name(nil, type, nil) else {
            return nil
        }
        defer {
            OSSL_PARAM_free(parameters)
            EVP_PKEY_CTX_free(context)
            ERR_clear_error()
        }
        var key: OpaquePointer?
        // 0x86: EVP_PKEY_PUBLIC_KEY, a macro of casts that Swift doesn't see.
        guard EVP_PKEY_fromdata_init(context) == 1, EVP_PKEY_fromdata(context, &key, 0x86, parameters) == 1, let key else { return nil }
        self.init(key, id: jwk["kid"]?.stringValue)
    }

    /// Whether a signature by one of the algorithms of RFC 7518, 3.1 (RS256… ES512) holds for the key's type.
    func verifies(_ signature: [UInt8], of bytes: [UInt8], algorithm: String) -> Bool {
        let digests = ["256": EVP_sha256(), "384": EVP_sha384(), "512": EVP_sha512()]
        guard let digest = digests[String(algorithm.suffix(3))], let context = EVP_MD_CTX_new() else { return false }
        defer {
            EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        var signature = signature
        switch algorithm.prefix(2) {
        case "RS" where EVP_PKEY_is_a(key, "RSA") == 1: break
        case "ES" where EVP_PKEY_is_a(key, "EC") == 1:
            // Each algorithm has its curve: 256 bits, 384, 521.
            let bits = ["256": 256, "384": 384, "512": 521][String(algorithm.suffix(3))]
            guard Int(EVP_PKEY_get_bits(key)) == bits, signature.count == (EVP_PKEY_get_bits(key) + 7) / 8 * 2 else { return false }
            signature = Self.der(signature)
        default: return false
        }
        guard EVP_DigestVerifyInit(context, nil, digest, nil, key) == 1 else { return false }
        return EVP_DigestVerify(context, signature, signature.count, bytes, bytes.count) == 1
    }

    /// The two numbers of an ECDSA signature as OpenSSL wants them: SEQUENCE of two INTEGERs (X.690).
    static func der(_ raw: [UInt8]) -> [UInt8] {
        func length(_ count: Int) -> [UInt8] { count < 128 ? [UInt8(count)] : [0x81, UInt8(count)] }
        func integer(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
            var digits = Array(bytes.drop { $0 == 0 })
            if digits.first.map({ $0 >= 128 }) ?? true { digits.insert(0, at: 0) }
            return [2] + length(digits.count) + digits
        }
        let numbers = integer(raw[..<(raw.count / 2)]) + integer(raw[(raw.count / 2)...])
        return [0x30] + length(numbers.count) + numbers
    }
}

extension StaticString {
    /// As C has it; a text of the program itself, which no call outlives.
    fileprivate var lasting: UnsafePointer<CChar> { UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self) }
}
