// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// One measured number: the median of its runs, and that of the limit measured beside it.
struct Figure: Encodable, Sendable {
    let name: String
    let value: Double
    let unit: String
    /// What the engine reaches without Errand, measured in turn with `value`; for some figures a bound.
    let limit: Double?
    /// `value / limit`.
    let ratio: Double?
    /// The smallest and the largest run.
    let spread: ClosedRange<Double>

    init(_ name: String, _ runs: [Double], _ unit: String, limit limits: [Double] = []) {
        self.name = name
        self.unit = unit
        value = runs.median
        limit = limits.isEmpty ? nil : limits.median
        ratio = limit.map { [value] in value / $0 }
        spread = (runs.min() ?? 0)...(runs.max() ?? 0)
    }

    private enum Key: String, CodingKey {
        case name, value, unit, limit, ratio, low, high
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(name, forKey: .name)
        try container.encode(value.rounded(toPlaces: 4), forKey: .value)
        try container.encode(unit, forKey: .unit)
        try container.encode(limit?.rounded(toPlaces: 4), forKey: .limit)
        try container.encode(ratio?.rounded(toPlaces: 3), forKey: .ratio)
        try container.encode(spread.lowerBound.rounded(toPlaces: 4), forKey: .low)
        try container.encode(spread.upperBound.rounded(toPlaces: 4), forKey: .high)
    }
}

extension Double {
    func rounded(toPlaces places: Int) -> Double {
        let scale = (0..<places).reduce(1.0) { product, _ in product * 10 }
        return (self * scale).rounded() / scale
    }
}

extension Array where Element == Double {
    /// The middle one; 0 of none.
    var median: Double { percentile(50) }

    /// The value that `percent` of a hundred do not exceed.
    func percentile(_ percent: Double) -> Double {
        guard !isEmpty else { return 0 }
        let sorted = sorted()
        let place = (percent / 100 * Double(count)).rounded(.up)
        return sorted[Swift.min(Swift.max(Int(place) - 1, 0), count - 1)]
    }
}
