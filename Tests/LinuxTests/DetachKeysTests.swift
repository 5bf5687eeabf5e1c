import Testing

@testable import Linux

@Suite struct DetachKeysTests {
    @Test func areFoundAcrossReadsAndNotPassedOn() {
        var keys = DetachKeys()
        #expect(keys.filter([1, 16]) == ([1], false))
        #expect(keys.filter([5]) == ([16, 5], false))
        #expect(keys.filter([7, 16, 17, 9]) == ([7], true))
        var own = DetachKeys([1, 100])
        #expect(own.filter([1, 1, 100]) == ([1], true))
    }

    @Test func withoutKeysNothingDetaches() {
        var none = DetachKeys([])
        #expect(none.filter([16, 17]) == ([16, 17], false))
    }
}
