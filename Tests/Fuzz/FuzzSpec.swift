// The libFuzzer target for everything that is read from config.json, process.json, resources and state files before the
// first side effect: JSON, the specification's decoder, validation and planning. scripts/fuzz builds and runs it.
//
// Whatever the bytes are: no crash, no endless work, an error of one line; and what was read and is written again is
// read as the same.
import Glibc
import JSON
import Linux
import OCIRuntimeSpec

@testable import ContainerRuntime

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    let document: JSONValue
    do throws(JSONError) { document = try JSONValue(parsing: bytes) } catch {
        checkLine(error.description)
        return 0
    }
    checkText(document)
    checkSpec(document)
    checkParts(bytes, document)
    return 0
}

/// A document that is written is read as what was written.
private func checkText(_ document: JSONValue) {
    let text = document.serialized()
    guard let again = try? JSONValue(parsing: text) else { fail("what was written is no JSON") }
    // Not the values: 1.0 is written as 1.
    require(again.serialized() == text, "what was written is read as something else")
    require((try? JSONValue(parsing: document.text(indent: 2)))?.serialized() == text, "the indented text is another")
}

private func checkSpec(_ document: JSONValue) {
    let spec: Spec
    do throws(SpecError) { spec = try Spec(document) } catch {
        checkLine(error.description)
        return
    }
    let again: Spec
    do throws(SpecError) { again = try Spec(spec.json) } catch { fail("what was written is refused: \(error)") }
    require(again == spec, "a spec that is written is read as another")
    do { try plan(spec) } catch { checkLine(RuntimeError(wrapping: error).message) }
}

/// What the runtime makes of a spec before it does anything.
private func plan(_ spec: Spec) throws {
    for mount in spec.mounts { _ = PlannedMount(mount, bundle: "/bundle") }
    _ = try CgroupResources(spec.linux.resources ?? Spec.Resources())
    _ = NamespacePlan(spec.linux)
    _ = ContainerPlan.cgroupPath(spec.linux.cgroupsPath, id: "x")
    if let process = spec.process { _ = try ProcessPlan(process, spec.linux, preserveFDs: 0, cacheDirectory: nil) }
    if let seccomp = spec.linux.seccomp { _ = try SeccompProfile(seccomp) }
    try SpecValidation.validate(spec)
}

/// The documents beside config.json.
private func checkParts(_ bytes: [UInt8], _ document: JSONValue) {
    do throws(SpecError) { _ = try Spec.Process(parsing: bytes) } catch { checkLine(error.description) }
    do throws(SpecError) { _ = try Spec.Resources(parsing: bytes) } catch { checkLine(error.description) }
    do { _ = try ContainerState(document) } catch { checkLine("\(error)") }
}

/// An error is one line that a terminal can show.
private func checkLine(_ message: String) {
    let text = RuntimeError(kind: .usage, message: message).line
    require(!text.isEmpty, "an error without words")
    require(!text.utf8.contains { $0 < 32 || $0 == 127 }, "an error with control characters: \(text)")
    require(text.utf8.count <= 4200, "an endless error")
}

private func require(_ condition: Bool, _ words: @autoclosure () -> String) { if !condition { fail(words()) } }

/// Ends the run as a crash does; an optimized precondition would keep its words to itself.
private func fail(_ words: String) -> Never {
    let line = Array("fault: \(words)\n".utf8)
    _ = write(2, line, line.count)
    abort()
}
