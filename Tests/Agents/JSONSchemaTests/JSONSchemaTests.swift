import JSONCoding
import Primitives
import Testing

@testable import JSONSchema

@Suite("JSON schema") struct JSONSchemaTests {
    private func schema(_ text: String) throws -> JSONSchema {
        try JSONSchema(try JSONValue(decoding: Array(text.utf8)))
    }

    private func mismatches(_ schema: String, _ document: String) throws -> [String] {
        try self.schema(schema).mismatches(in: try JSONValue(decoding: Array(document.utf8))).map(\.description)
    }

    /// Schema, documents that are valid, documents that are not.
    private static let cases: [(schema: String, valid: [String], invalid: [String])] = [
        ("true", ["1", "null", "{}"], []),
        ("false", [], ["1", "null"]),
        (#"{"type":"string"}"#, [#""x""#], ["1", "null", "[]"]),
        (#"{"type":"integer"}"#, ["1", "1.0", "-3", "1e2"], ["1.5", #""1""#, "true"]),
        (#"{"type":"number"}"#, ["1", "1.5"], [#""1""#, "true"]),
        (#"{"type":["string","null"]}"#, [#""x""#, "null"], ["1"]),
        (
            #"{"enum":[1,"a",null,[1,2],{"a":1}]}"#, ["1", "1.0", #""a""#, "null", "[1,2]", #"{"a":1.0}"#],
            ["2", "[2,1]"]
        ),
        (#"{"const":"x"}"#, [#""x""#], [#""y""#]),
        (#"{"required":["a"]}"#, [#"{"a":1}"#, "1"], ["{}"]),
        (#"{"properties":{"a":{"type":"integer"}}}"#, ["{}", #"{"a":1,"b":"x"}"#], [#"{"a":"x"}"#]),
        (
            #"{"properties":{"a":true},"additionalProperties":false}"#,
            [#"{"a":1}"#, "{}"], [#"{"b":1}"#]
        ),
        (#"{"additionalProperties":{"type":"integer"}}"#, [#"{"x":1}"#], [#"{"x":"1"}"#]),
        (#"{"minProperties":1,"maxProperties":2}"#, [#"{"a":1}"#], ["{}", #"{"a":1,"b":1,"c":1}"#]),
        (#"{"items":{"type":"integer"}}"#, ["[]", "[1,2]", "{}"], [#"[1,"x"]"#]),
        (
            #"{"prefixItems":[{"type":"string"}],"items":{"type":"integer"}}"#, [#"["a",1,2]"#, "[]"],
            ["[1]", #"["a","b"]"#]
        ),
        (#"{"minItems":1,"maxItems":2}"#, ["[1]", "[1,2]"], ["[]", "[1,2,3]"]),
        (#"{"uniqueItems":true}"#, ["[1,2]", "[]"], ["[1,1.0]", #"[{"a":1},{"a":1}]"#]),
        (#"{"minLength":2,"maxLength":3}"#, [#""ab""#, #""äöü""#, "1"], [#""a""#, #""abcd""#]),
        (#"{"minimum":1,"maximum":3}"#, ["1", "3"], ["0", "3.5"]),
        (#"{"exclusiveMinimum":1,"exclusiveMaximum":3}"#, ["2"], ["1", "3"]),
        (#"{"multipleOf":0.1}"#, ["0.3", "1"], ["0.25"]),
        (#"{"allOf":[{"type":"integer"},{"minimum":2}]}"#, ["2"], ["1", "2.5"]),
        (#"{"anyOf":[{"type":"integer"},{"type":"string"}]}"#, ["1", #""a""#], ["null"]),
        (#"{"oneOf":[{"type":"integer"},{"minimum":2}]}"#, ["1", "2.5"], ["2", "1.5"]),
        (#"{"not":{"type":"null"}}"#, ["1"], ["null"]),
        (
            ##"{"$defs":{"tree":{"type":"object","properties":{"next":{"$ref":"#/$defs/tree"}},"additionalProperties":false}},"$ref":"#/$defs/tree"}"##,
            ["{}", #"{"next":{"next":{}}}"#], [#"{"next":{"other":1}}"#, #"{"next":1}"#]
        ),
        (
            ##"{"properties":{"a/b":{"type":"string"},"c":{"$ref":"#/properties/a~1b"}}}"##, [#"{"c":"x"}"#],
            [#"{"c":1}"#]
        ),
    ]

    @Test(arguments: cases)
    func `documents are valid or not as the specification has it`(
        _ example: (schema: String, valid: [String], invalid: [String])
    ) throws {
        for document in example.valid {
            #expect(try mismatches(example.schema, document) == [], "\(example.schema) \(document)")
        }
        for document in example.invalid {
            #expect(try !mismatches(example.schema, document).isEmpty, "\(example.schema) \(document)")
        }
    }

    @Test func `a mismatch has its place in the document`() throws {
        let text = #"{"properties":{"a":{"items":{"properties":{"x/y":{"type":"string"}},"required":["z"]}}}}"#
        #expect(
            try mismatches(text, #"{"a":[{"z":1},{"x/y":2}]}"#) == [
                "/a/1: lacks the property \"z\"", "/a/1/x~1y: must be string, not integer",
            ]
        )
        #expect(try mismatches(#"{"type":"object"}"#, "[]") == ["the document: must be object, not array"])
    }

    @Test(arguments: [
        (#"{"pattern":"a+"}"#, "#/pattern: the keyword \"pattern\" is not supported"),
        (#"{"properties":{"a":{"if":true}}}"#, "#/properties/a/if: the keyword \"if\" is not supported"),
        (
            #"{"$defs":{"x":{"unevaluatedItems":false}}}"#,
            "#/$defs/x/unevaluatedItems: the keyword \"unevaluatedItems\" is not supported"
        ),
        (
            #"{"type":"text"}"#,
            "#/type: \"text\" is no type; the types are null, boolean, integer, number, string, array, object"
        ),
        (#"{"type":[]}"#, "#/type: must be the name of a type, or a list of them"),
        (#"{"minLength":-1}"#, "#/minLength: must be a whole number of at least 0"),
        (#"{"maxItems":1.5}"#, "#/maxItems: must be a whole number of at least 0"),
        (#"{"required":[1]}"#, "#/required: must be a list of names"),
        (#"{"items":[true]}"#, "#/items: a schema is an object, true or false"),
        (#"{"anyOf":[]}"#, "#/anyOf: must be a list with at least one schema"),
        (#"{"multipleOf":0}"#, "#/multipleOf: must be above 0"),
        (##"{"$ref":"#/$defs/none"}"##, "#/$ref: there is nothing at \"#/$defs/none\""),
        (
            #"{"$ref":"https://example.com/s"}"#,
            ##"#/$ref: must lead to a place in this schema, such as "#/$defs/name""##
        ),
        ("1", "#: a schema is an object, true or false"),
    ])
    func `a schema that cannot be checked is refused with its place`(_ text: String, _ message: String) throws {
        let document = try JSONValue(decoding: Array(text.utf8))
        do throws(JSONSchema.Violation) {
            _ = try JSONSchema(document)
            Issue.record("it was accepted: \(text)")
        } catch {
            #expect(error.description == message)
        }
    }

    @Test func `annotations say nothing`() throws {
        let text =
            #"{"$schema":"x","title":"t","description":"d","default":1,"examples":[1],"format":"date","$comment":"c"}"#
        #expect(try mismatches(text, "1") == [])
    }

    @Test func `a schema that only refers to itself is refused, not followed`() throws {
        #expect(
            try mismatches(##"{"$ref":"#"}"##, "1") == ["the document: it takes too many steps to check"]
        )
    }

    @Test func `a schema that doubles its work with each level ends`() throws {
        var defs = [#""a0":{"type":"integer"}"#]
        for level in 1...40 {
            let reference = ##"{"$ref":"#/$defs/a\##(level - 1)"}"##
            defs.append(#""a\#(level)":{"allOf":[\#(reference),\#(reference)]}"#)
        }
        let text = ##"{"$defs":{\##(defs.joined(separator: ","))},"$ref":"#/$defs/a40"}"##
        #expect(try mismatches(text, "1") == ["the document: it takes too many steps to check"])
    }

    @Test func `mismatches are told up to a number`() throws {
        let items = Array(repeating: "1", count: 1000).joined(separator: ",")
        #expect(try mismatches(#"{"items":{"type":"string"}}"#, "[\(items)]").count == JSONSchema.maxMismatches)
    }

    @Test func `schemas have bounds`() throws {
        let deep = String(repeating: #"{"not":"#, count: 70) + "true" + String(repeating: "}", count: 70)
        #expect(throws: JSONSchema.Violation.self) { try self.schema(deep) }
    }

    @Test(arguments: ["", "/", "/a~1b/0", "/~0"])
    func `pointers are written as they are read`(_ text: String) {
        #expect(JSONPointer(parsing: text)?.description == text)
    }

    @Test(arguments: ["a", "/~2", "/~"])
    func `what is no pointer is not read`(_ text: String) {
        #expect(JSONPointer(parsing: text) == nil)
    }
}
