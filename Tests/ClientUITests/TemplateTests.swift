import JSON
import Testing

@testable import ClientUI

private let document: JSONValue = [
    "Name": "web", "Count": 3, "On": true, "Off": false, "Empty": "", "Nothing": nil, "Ratio": 1.5, "List": ["a", "b", "c"],
    "Map": ["k2": "v2", "k1": "v1", "com.x-y": "dash"], "Deep": ["Er": ["Still": "here"]], "Objects": [["N": "1"], ["N": "2"]],
]

private func render(_ source: String) throws -> String {
    try Template(source).render(document) { name, arguments in
        name == "Label" ? .string("label:\(arguments.first?.stringValue ?? "")") : nil
    }
}

@Suite struct Templates {
    @Test(arguments: [
        ("plain", "plain"), ("{{.Name}}", "web"), ("{{ .Name }}-{{.Count}}", "web-3"), ("{{.Deep.Er.Still}}", "here"),
        ("{{.List}}", "[a b c]"),
        ("{{.Map}}", "map[com.x-y:dash k1:v1 k2:v2]"), ("{{.Ratio}} {{.On}}", "1.5 true"), ("{{.Nothing}}", "<no value>"),
        ("{{index .List 1}}", "b"),
        ("{{index .Map \"com.x-y\"}}", "dash"), ("{{(index .Objects 1).N}}", "2"), ("{{len .List}}", "3"),
        ("{{json .Map}}", #"{"k2":"v2","k1":"v1","com.x-y":"dash"}"#),
        ("{{.Map | json}}", #"{"k2":"v2","k1":"v1","com.x-y":"dash"}"#), ("{{join .List \",\"}}", "a,b,c"),
        ("{{upper .Name}} {{.Name | title}}", "WEB Web"),
        ("{{lower \"ABC\"}}", "abc"), ("{{range .List}}<{{.}}>{{end}}", "<a><b><c>"),
        ("{{range $i, $v := .List}}{{$i}}{{$v}}{{end}}", "0a1b2c"),
        ("{{range $k, $v := .Map}}{{$k}}={{$v}};{{end}}", "com.x-y=dash;k1=v1;k2=v2;"), ("{{range .Empty2}}x{{else}}none{{end}}x", ""),
        ("{{if .On}}yes{{else}}no{{end}}", "yes"), ("{{if .Off}}a{{else if .Empty}}b{{else}}c{{end}}", "c"),
        ("{{if .Missing}}a{{else}}b{{end}}", "b"),
        ("{{if and .On .Name}}both{{end}}", "both"), ("{{or .Empty .Name}}", "web"), ("{{if not .Off}}n{{end}}", "n"),
        ("{{with .Deep}}{{.Er.Still}}{{end}}", "here"),
        ("{{with .Missing}}x{{else}}y{{end}}", "y"), ("{{eq .Count 3}} {{ne .Name \"x\"}} {{lt 1 2}} {{ge 2 2}}", "true true true true"),
        ("{{eq .Name \"a\" \"web\"}}", "true"), ("{{$x := .Name}}{{$x}}{{$x = \"new\"}}{{$x}}", "webnew"),
        ("{{printf \"%s|%5d|%-4s|%q\" .Name .Count \"ab\" \"q\"}}", "web|    3|ab  |\"q\""),
        ("{{println .Name 1}}", "web 1\n"), ("{{print \"a\" \"b\" 1 2}}", "ab1 2"), ("{{split \"a,b\" \",\"}}", "[a b]"),
        ("a {{- .Name -}} b", "awebb"), ("{{/* note */}}x", "x"),
        ("{{.Label \"k\"}}", "label:k"), ("{{range .List}}{{$.Name}}{{end}}", "webwebweb"), ("{{slice .Name 0 2}}", "we"),
        ("{{truncate .Name 2}}", "we"),
        ("{{pad .Name 1 2}}|", " web  |"), ("{{`raw \"x\"`}}", "raw \"x\""), ("{{\"\\t\"}}", "\t"),
    ])
    func renders(_ source: String, _ expected: String) throws {
        if source.contains("Empty2") {
            #expect(throws: TemplateError.self) { try render(source) }
        } else {
            #expect(try render(source) == expected)
        }
    }

    @Test(arguments: [
        "{{.Name", "{{foo .}}", "{{end}}", "{{if .On}}x", "{{else}}", "{{}}", "{{.Name | }}", "{{(.Name}}", "{{\"x}}", "{{/* x }}",
        "{{template \"x\"}}", "{{define \"x\"}}{{end}}",
        "{{1.2.3}}", "{{.Name)}}", "{{if}}x{{end}}", "{{$a, $b, $c := .List}}", "{{#}}",
    ])
    func refusesWhatIsNoTemplate(_ source: String) { #expect(throws: TemplateError.self) { try Template(source) } }

    @Test(arguments: [
        "{{.Missing}}", "{{.Name.Deeper}}", "{{.Nothing.X}}", "{{index .List 9}}", "{{$x}}", "{{upper .Count}}", "{{range .Count}}{{end}}",
        "{{.Name 1}}", "{{index .Name 1}}",
    ])
    func failsWhenCarriedOut(_ source: String) throws {
        let template = try Template(source)
        #expect(throws: TemplateError.self) { try template.render(document) }
    }

    @Test func errorsNameThePlace() {
        #expect(throws: TemplateError(message: "template: :1:6: executing \"\" at <.Foo.Bar>: map has no entry for key \"Foo\"")) {
            try render("{{.Foo.Bar}}")
        }
        #expect(throws: TemplateError(message: "template: :1: function \"foo\" not defined")) { try Template("{{foo}}") }
    }
}
