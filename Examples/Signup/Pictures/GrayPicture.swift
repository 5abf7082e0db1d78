// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A picture in shades of grey, computed and made smaller: work that keeps a processor busy.
struct GrayPicture: Sendable, Hashable {
    let width: Int
    let height: Int
    /// Row by row, 0 is black.
    var pixels: [UInt8]

    /// The Mandelbrot set on −2.2…0.8 by −1.5…1.5, brighter where a point escapes later.
    static func mandelbrot(size: Int, iterations: Int = 255) -> GrayPicture {
        var pixels = [UInt8](repeating: 0, count: size * size)
        let step = 3 / Double(size)
        for row in 0..<size {
            let y0 = -1.5 + (Double(row) + 0.5) * step
            for column in 0..<size {
                let x0 = -2.2 + (Double(column) + 0.5) * step
                pixels[row * size + column] = shade(x0, y0, iterations)
            }
        }
        return GrayPicture(width: size, height: size, pixels: pixels)
    }

    private static func shade(_ x0: Double, _ y0: Double, _ iterations: Int) -> UInt8 {
        var (x, y, count) = (0.0, 0.0, 0)
        while count < iterations && x * x + y * y <= 4 {
            (x, y) = (x * x - y * y + x0, 2 * x * y + y0)
            count += 1
        }
        return count == iterations ? 0 : UInt8(clamping: count * 255 / iterations)
    }

    /// The picture made smaller: each pixel is the mean of a box of `factor` by `factor`.
    ///
    /// What is left over at the right and the bottom is cut off.
    func downscaled(by factor: Int) -> GrayPicture {
        let (width, height) = (self.width / factor, self.height / factor)
        var smaller = [UInt8](repeating: 0, count: width * height)
        for row in 0..<height {
            for column in 0..<width {
                var sum = 0
                for y in (row * factor)..<(row * factor + factor) {
                    for x in (column * factor)..<(column * factor + factor) { sum += Int(pixels[y * self.width + x]) }
                }
                smaller[row * width + column] = UInt8(sum / (factor * factor))
            }
        }
        return GrayPicture(width: width, height: height, pixels: smaller)
    }

    /// The picture as a binary PGM file, which most viewers open.
    var pgm: [UInt8] { Array("P5\n\(width) \(height)\n255\n".utf8) + pixels }
}
