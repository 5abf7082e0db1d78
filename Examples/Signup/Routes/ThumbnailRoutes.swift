// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandHummingbird
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// `POST /thumbnails`: a computation that would hold up every request if it ran where they are answered.
struct ThumbnailRoutes: Sendable {
    let folder: URL
    let clock: any ErrandClock

    private struct Answer: Encodable {
        let thumbnail: String
        let pixels: Int
    }

    func add(to router: Router<BasicRequestContext>) {
        router.post("thumbnails") { request, context in
            var fields = try await request.fields()
            let size = fields.integer("size", in: 16...4096, default: 512)
            let factor = fields.integer("factor", in: 1...16, default: 4)
            try fields.finish()
            let id = Chance.system.jobID(at: clock.now)
            let file = file(id)
            context.background.addBlocking("thumbnail") {
                let picture = GrayPicture.mandelbrot(size: size).downscaled(by: factor)
                try Data(picture.pgm).write(to: file, options: .atomic)
            }
            return try Response.json(
                Answer(thumbnail: "/thumbnails/\(id)", pixels: size / factor),
                status: .accepted,
                headers: [.location: "/thumbnails/\(id)"]
            )
        }
        router.get("thumbnails/:id") { _, context in
            // Only a well-formed id becomes a file name.
            guard let id = JobID(try context.parameters.require("id")), let data = try? Data(contentsOf: file(id))
            else { throw Problem(.notFound, "There is no such thumbnail, or it is not computed yet.") }
            return Response(
                status: .ok,
                headers: [.contentType: "image/x-portable-graymap"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: data))
            )
        }
    }

    private func file(_ id: JobID) -> URL { folder.appending(path: "thumbnail-\(id).pgm") }
}
