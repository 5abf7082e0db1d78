// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Collects figures; prints them as a table and as lines of JSON.
struct Report {
    private var figures: [Figure] = []

    mutating func add(_ figure: Figure) {
        figures.append(figure)
        say("  \(Self.row(figure).joined(separator: "  "))")
    }

    /// Progress goes to standard error, so that standard output holds the result alone.
    func say(_ line: String) {
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }

    func printAll() {
        let rows = [["figure", "value", "unit", "limit", "ratio", "low – high"]] + figures.map(Self.row)
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        for row in rows {
            let cells = zip(row, widths).enumerated()
                .map { column, cell in
                    let padding = String(repeating: " ", count: cell.1 - cell.0.count)
                    return column == 0 || column == 2 ? cell.0 + padding : padding + cell.0
                }
            print(cells.joined(separator: "  "))
        }
        print("")
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        for figure in figures {
            guard let line = try? encoder.encode(figure) else { continue }
            print(String(decoding: line, as: UTF8.self))
        }
    }

    private static func row(_ figure: Figure) -> [String] {
        [
            figure.name, number(figure.value), figure.unit, figure.limit.map(number) ?? "",
            figure.ratio.map { String(format: "%.2f", $0) } ?? "",
            "\(number(figure.spread.lowerBound)) – \(number(figure.spread.upperBound))",
        ]
    }

    private static func number(_ value: Double) -> String {
        if value >= 1000 { return String(format: "%.0f", value) }
        return String(format: value >= 10 ? "%.1f" : "%.3f", value)
    }
}
