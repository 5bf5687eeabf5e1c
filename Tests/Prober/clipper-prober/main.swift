// clipper-prober: runs inside a container and reports, as one JSON document on standard output, what it sees there.
//
//   clipper-prober [--path PATH]… [--read PATH]… [--call NUMBER]…
//
// Always: identity, capabilities, limits, namespaces, cgroup, seccomp, mounts, devices, descriptors, scheduling. With
// --path also what a path is and whether it can be read, written and listed; with --read what a file holds; with --call
// what a system call answers to nonsense arguments: which error tells whether a filter or the kernel refused it.
//
// A test-only program, linked static so that it runs on any root filesystem; it is not installed. A static Swift program
// looks for itself in /proc: a container without one must have SWIFT_ROOT in its environment.
internal import Glibc
internal import JSON

var report = JSONObject()
report.append("process", ProcessReport.document)
report.append("capabilities", ProcessReport.capabilities)
report.append("limits", ProcessReport.limits)
report.append("scheduler", ProcessReport.scheduler)
report.append("namespaces", SurroundingsReport.namespaces)
report.append("cgroup", SurroundingsReport.cgroups)
report.append("mounts", SurroundingsReport.mounts)
report.append("devices", FilesReport.devices)
report.append("descriptors", FilesReport.descriptors)

var paths = JSONObject()
var contents = JSONObject()
var calls = JSONObject()
var rest = CommandLine.arguments.dropFirst()
while let option = rest.popFirst(), let value = rest.popFirst() {
    switch option {
    case "--path": paths.append(value, FilesReport.path(value))
    case "--read": contents.append(value, FilesReport.content(value))
    case "--call": calls.append(value, ProcessReport.call(value))
    default:
        print("clipper-prober: unknown option \(option)")
        exit(2)
    }
}
report.append("paths", .object(paths))
report.append("contents", .object(contents))
report.append("calls", .object(calls))
print(JSONValue.object(report).text(indent: 1))
