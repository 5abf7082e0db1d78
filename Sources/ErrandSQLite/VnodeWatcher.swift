// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

#if canImport(Darwin)
import Darwin
import Dispatch
import Foundation

/// Watches a folder and the files in it where there is no inotify.
///
/// A vnode source tells that a folder changed, not which file in it was written: the folder is looked at again, and
/// its files are watched one by one. Everything here runs on a queue of its own.
// guard: its serial queue.
final class VnodeWatcher: @unchecked Sendable {
    private let folder: String
    private let body: @Sendable (FolderWatch.Event) -> Void
    private let queue = DispatchQueue(label: "errand-sqlite-watch")
    private var sources: [String: any DispatchSourceFileSystemObject] = [:]
    private var folderSource: (any DispatchSourceFileSystemObject)?

    init?(_ folder: String, _ body: @escaping @Sendable (FolderWatch.Event) -> Void) {
        let file = open(folder, O_EVTONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        self.folder = folder
        self.body = body
        queue.async { [self] in
            folderSource = source(of: file) { [weak self] in self?.look() }
            look()
        }
    }

    /// Ends the watch; returns before its last event may have been told.
    func finish() {
        queue.async { [self] in
            for source in sources.values { source.cancel() }
            sources.removeAll()
            folderSource?.cancel()
            folderSource = nil
        }
    }

    private func look() {
        let names = Set((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
        for name in sources.keys where !names.contains(name) {
            sources.removeValue(forKey: name)?.cancel()
            body(.disappeared(name))
        }
        for name in names where sources[name] == nil {
            let file = open("\(folder)/\(name)", O_EVTONLY | O_CLOEXEC)
            guard file >= 0 else { continue }
            sources[name] = source(of: file) { [body] in body(.wrote(name)) }
            body(.appeared(name))
        }
    }

    private func source(of file: Int32, _ handler: @escaping () -> Void) -> any DispatchSourceFileSystemObject {
        let source = DispatchSource.makeFileSystemObjectSource(fileDescriptor: file, eventMask: .write, queue: queue)
        source.setEventHandler(handler: handler)
        source.setCancelHandler { close(file) }
        source.resume()
        return source
    }
}
#endif
