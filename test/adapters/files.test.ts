import {
  chmodSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Callback, suite } from 'uvu'
import * as assert from 'uvu/assert'
import { effectJournal } from '../../fixtures/effects.ts'
import { type Disk, memoryFiles } from '../../fixtures/memory-files.ts'
import { type Files, hostFiles, readWholeFile } from '../../lib/adapters/files.ts'

/** An empty directory, and what the contract needs beside the adapter. */
interface World {
  readonly files: Files
  readonly root: string
  modeOf(path: string): number
  /** Sets a file's modification time back. */
  age(path: string): void
  end(): void
}

function memoryWorld(): World {
  const disk: Disk = new Map([['/world', { kind: 'folder' }]])
  return {
    files: memoryFiles(disk, effectJournal()),
    root: '/world',
    modeOf: (path) => {
      const entry = disk.get(path)
      return entry?.kind === 'file' ? entry.mode : 0
    },
    age: () => undefined,
    end: () => undefined,
  }
}

function hostWorld(): World {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'files-')))
  return {
    files: hostFiles(),
    root,
    modeOf: (path) => statSync(path).mode & 0o7777,
    age: (path) => utimesSync(path, 1_700_000_000, 1_700_000_000),
    end: () => rmSync(root, { recursive: true }),
  }
}

for (const [name, makeWorld] of Object.entries({ memory: memoryWorld, host: hostWorld })) {
  const test = suite<World>(`files: ${name}`)
  const guarantee = (title: string, prove: (world: World) => Promise<unknown>) => {
    const run: Callback<World> = async () => {
      const world = makeWorld()
      try {
        await prove(world)
      } finally {
        world.end()
      }
    }
    test(title, run)
  }

  guarantee('every way of reading returns what was written', async ({ files, root }) => {
    await files.write(`${root}/a`, 'grüße\n', 0o644)
    assert.is(files.read(`${root}/a`)?.text, 'grüße\n')
    const look = files.lstat(`${root}/a`)
    assert.is(look?.kind === 'file' && look.file.text, 'grüße\n')
    assert.equal(files.list(root), ['a'])
    assert.is(files.realPath(`${root}/a`), `${root}/a`)
    assert.type(files.stamp(`${root}/a`), 'string')
  })

  guarantee('the time of a text is that of its last write, and a rename keeps it', async ({ files, root }) => {
    const started = Date.now() - 1000
    await files.write(`${root}/a`, 'text', 0o644)
    const written = files.modifiedMs(`${root}/a`) ?? 0
    assert.ok(written >= started && written <= Date.now() + 1000, String(written))
    await files.rename(`${root}/a`, `${root}/b`)
    assert.is(files.modifiedMs(`${root}/b`), written)
    assert.is(files.modifiedMs(`${root}/a`), undefined)
  })

  guarantee('reads of a missing file return nothing and do not fail', async ({ files, root }) => {
    const path = `${root}/none`
    const answers = [files.read(path), files.lstat(path), files.realPath(path), files.stamp(path)]
    assert.equal(answers, [undefined, undefined, undefined, undefined])
    assert.equal(files.list(path), [])
    assert.equal(files.readFrom(path, 0), { size: 0, text: '', next: 0 })
    assert.is(files.isWritable(path), false)
  })

  guarantee('a file is created exclusively: an existing one stays as it is', async ({ files, root }) => {
    await files.write(`${root}/a`, 'first', 0o644)
    await fails(files.write(`${root}/a`, 'second', 0o644), 'EEXIST')
    assert.is(files.read(`${root}/a`)?.text, 'first')
  })

  guarantee('a write into a missing directory fails', async ({ files, root }) => {
    await fails(files.write(`${root}/none/a`, 'x', 0o644), 'ENOENT')
    await fails(files.writeUnsynced(`${root}/none/a`, 'x', 0o644), 'ENOENT')
    await fails(files.symlink(`${root}/a`, `${root}/none/a`), 'ENOENT')
    await fails(files.syncFolder(`${root}/none`), 'ENOENT')
  })

  guarantee('a write does not follow a symlink: its target stays as it was', async ({ files, root }) => {
    await files.write(`${root}/victim`, 'secret', 0o600)
    for (const target of [`${root}/victim`, `${root}/none`]) {
      await files.symlink(target, `${root}/link`)
      await fails(files.write(`${root}/link`, 'x', 0o644), 'EEXIST')
      await fails(files.writeUnsynced(`${root}/link`, 'x', 0o644), 'ELOOP')
      await fails(files.append(`${root}/link`, 'x'), 'ELOOP')
      assert.equal(files.lstat(`${root}/link`), { kind: 'link', target })
      await files.remove(`${root}/link`)
    }
    assert.is(files.read(`${root}/victim`)?.text, 'secret')
    assert.is(files.read(`${root}/none`), undefined)
  })

  for (const umask of [0o077, 0o000]) {
    guarantee(`files have the given mode under umask ${umask.toString(8)}`, async (world) => {
      const { files, root, modeOf } = world
      const former = process.umask(umask)
      try {
        for (const mode of [0o644, 0o600]) {
          await files.write(`${root}/w${mode}`, 'x', mode)
          assert.is(modeOf(`${root}/w${mode}`), mode)
        }
        await files.writeUnsynced(`${root}/scratch`, 'x', 0o600)
        assert.is(modeOf(`${root}/scratch`), 0o600)
      } finally {
        process.umask(former)
      }
    })
  }

  guarantee('an unsynced write replaces a file any number of times', async ({ files, root }) => {
    await files.writeUnsynced(`${root}/a`, 'a long first text', 0o600)
    await files.writeUnsynced(`${root}/a`, 'short', 0o600)
    assert.is(files.read(`${root}/a`)?.text, 'short')
  })

  guarantee(
    'an unsynced replacement leaves the former text or the new one, and no temporary',
    async ({ files, root }) => {
      const replace = (path: string, text: string) =>
        files.replaceUnsynced(`${root}/${path}`, `${root}/.tmp`, text, 0o600)
      await replace('a', 'former')
      await replace('a', 'new')
      assert.is(files.read(`${root}/a`)?.text, 'new')
      await fails(replace('none/a', 'x'), 'ENOENT')
      assert.equal(files.list(root), ['a'])
    },
  )

  guarantee('appending adds to an existing file, and creates none', async ({ files, root }) => {
    await files.write(`${root}/a`, 'one\n', 0o600)
    await files.append(`${root}/a`, 'two\n')
    assert.is(files.read(`${root}/a`)?.text, 'one\ntwo\n')
    await fails(files.append(`${root}/none`, 'x'), 'ENOENT')
    assert.is(files.read(`${root}/none`), undefined)
  })

  guarantee('a rename replaces the existing file, and a symlink itself, not its target', async ({ files, root }) => {
    await files.write(`${root}/new`, 'new', 0o644)
    await files.write(`${root}/old`, 'old', 0o644)
    await files.rename(`${root}/new`, `${root}/old`)
    assert.equal(files.list(root), ['old'])
    assert.is(files.read(`${root}/old`)?.text, 'new')
    await files.write(`${root}/target`, 'target', 0o644)
    await files.symlink(`${root}/target`, `${root}/link`)
    await files.rename(`${root}/old`, `${root}/link`)
    assert.is(files.lstat(`${root}/link`)?.kind, 'file')
    assert.is(files.read(`${root}/target`)?.text, 'target')
    await fails(files.rename(`${root}/none`, `${root}/x`), 'ENOENT')
  })

  guarantee('a symlink may dangle, and does not replace an existing file', async ({ files, root }) => {
    await files.symlink(`${root}/none`, `${root}/link`)
    assert.equal(files.lstat(`${root}/link`), { kind: 'link', target: `${root}/none` })
    assert.is(files.read(`${root}/link`), undefined)
    assert.is(files.realPath(`${root}/link`), undefined)
    assert.is(files.stamp(`${root}/link`), undefined)
    await fails(files.symlink(`${root}/other`, `${root}/link`), 'EEXIST')
  })

  guarantee('read follows symlinks, lstat does not', async ({ files, root }) => {
    await files.write(`${root}/a`, 'text', 0o644)
    await files.symlink(`${root}/a`, `${root}/b`)
    await files.symlink(`${root}/b`, `${root}/c`)
    assert.is(files.read(`${root}/c`)?.text, 'text')
    assert.is(files.realPath(`${root}/c`), `${root}/a`)
    assert.is(files.stamp(`${root}/c`), files.stamp(`${root}/a`))
    assert.equal(files.lstat(`${root}/c`), { kind: 'link', target: `${root}/b` })
  })

  guarantee(
    'behind a symlink that leads back to itself is nothing, as behind one that dangles',
    async ({ files, root }) => {
      await files.symlink(`${root}/b`, `${root}/a`)
      await files.symlink(`${root}/a`, `${root}/b`)
      await files.symlink(`${root}/self`, `${root}/self`)
      await files.symlink(`${root}/self`, `${root}/to-self`)
      await files.symlink(`${root}/nowhere`, `${root}/dangling`)
      for (const name of ['a', 'b', 'self', 'to-self', 'dangling']) {
        for (const read of [files.read, files.realPath, files.stamp]) assert.is(read(`${root}/${name}`), undefined)
        assert.is(files.lstat(`${root}/${name}`)?.kind, 'link')
      }
    },
  )

  guarantee('an own write is seen even if no time stamp of the file or its directory shows it', async (world) => {
    const { files, root, age } = world
    await files.write(`${root}/a`, 'text 1', 0o644)
    age(`${root}/a`)
    assert.is(files.read(`${root}/a`)?.text, 'text 1')
    assert.equal(files.list(root), ['a'])
    await files.append(`${root}/a`, '')
    await files.rename(`${root}/a`, `${root}/b`)
    await files.symlink(`${root}/b`, `${root}/c`)
    await files.link(`${root}/b`, `${root}/d`)
    assert.equal(files.list(root).toSorted(), ['b', 'c', 'd'])
    assert.equal([files.read(`${root}/a`), files.read(`${root}/b`)?.text], [undefined, 'text 1'])
  })

  guarantee('a hard link keeps the text when the first name is replaced', async ({ files, root }) => {
    await files.write(`${root}/a`, 'before', 0o644)
    await files.link(`${root}/a`, `${root}/.a.undo`)
    await files.write(`${root}/.a.tmp`, 'after', 0o644)
    await files.rename(`${root}/.a.tmp`, `${root}/a`)
    assert.equal([files.read(`${root}/a`)?.text, files.read(`${root}/.a.undo`)?.text], ['after', 'before'])
    await fails(files.link(`${root}/a`, `${root}/.a.undo`), 'EEXIST')
    await fails(files.link(`${root}/none`, `${root}/x`), 'ENOENT')
  })

  guarantee(
    'remove deletes files and symlinks without their targets, but a directory only if it is said to be one',
    async (world) => {
      const { files, root } = world
      await files.write(`${root}/a`, 'x', 0o644)
      await files.symlink(`${root}/a`, `${root}/link`)
      await files.makeFolder(`${root}/deep/deeper`, 0o700)
      await files.write(`${root}/deep/deeper/b`, 'x', 0o600)
      await files.remove(`${root}/link`)
      assert.is(files.read(`${root}/a`)?.text, 'x')
      await fails(files.remove(`${root}/deep`), 'EISDIR')
      assert.is(files.read(`${root}/deep/deeper/b`)?.text, 'x')
      await files.removeFolder(`${root}/deep`)
      await files.removeFolder(`${root}/deep`)
      await files.remove(`${root}/a`)
      await files.remove(`${root}/a`)
      await files.remove(`${root}/none/at/all`)
      assert.equal(files.list(root), [])
    },
  )

  guarantee('a copy has the bytes of the file, and replaces nothing', async ({ files, root, modeOf }) => {
    await files.write(`${root}/a`, 'ü', 0o644)
    await files.copy(`${root}/a`, `${root}/b`, 0o600)
    assert.equal([files.read(`${root}/b`)?.text, modeOf(`${root}/b`)], ['ü', 0o600])
    await fails(files.copy(`${root}/a`, `${root}/b`, 0o600), 'EEXIST')
    await fails(files.copy(`${root}/none`, `${root}/c`, 0o600), 'ENOENT')
  })

  guarantee(
    'below a directory, a file is created with its directories, and removed',
    async ({ files, root, modeOf }) => {
      await fails(files.writeBelow(root, 'one/two/a', 'x', 0o644), 'ENOENT')
      await files.makeFolderBelow(root, 'one/two')
      await files.makeFolderBelow(root, 'one/two')
      await files.writeBelow(root, 'one/two/a', 'x', 0o644)
      assert.equal([files.read(`${root}/one/two/a`)?.text, modeOf(`${root}/one/two/a`)], ['x', 0o644])
      await fails(files.writeBelow(root, 'one/two/a', 'y', 0o644), 'EEXIST')
      await files.removeBelow(root, 'one/two/a')
      await files.removeBelow(root, 'one/two/a')
      assert.equal(files.list(`${root}/one/two`), [])
    },
  )

  guarantee('access says what is at a path, and its mode', async ({ files, root }) => {
    await files.write(`${root}/a`, 'x', 0o640)
    await files.makeFolder(`${root}/folder`, 0o711)
    await files.symlink(`${root}/a`, `${root}/link`)
    assert.equal(files.access(`${root}/a`), { kind: 'file', isOurs: true, mode: 0o640 })
    assert.equal(files.access(`${root}/folder`), { kind: 'folder', isOurs: true, mode: 0o711 })
    assert.is(files.access(`${root}/link`)?.kind, 'link')
    assert.is(files.access(`${root}/none`), undefined)
  })

  guarantee('a directory is created with its parents, and may exist already', async ({ files, root }) => {
    await files.makeFolder(`${root}/one/two`, 0o711)
    await files.makeFolder(`${root}/one/two`, 0o711)
    assert.equal(files.list(root), ['one'])
    assert.equal(files.lstat(`${root}/one/two`), { kind: 'other' })
    assert.is(files.read(`${root}/one/two`), undefined)
    assert.ok(files.isWritable(`${root}/one/two`))
    await files.syncFolder(`${root}/one/two`)
  })

  guarantee('a file cannot be used as a directory', async ({ files, root }) => {
    await files.write(`${root}/a`, 'x', 0o644)
    assert.equal(files.list(`${root}/a`), [])
    assert.is(files.isWritable(`${root}/a`), false)
  })

  guarantee('a tail is what was appended since, at most 64 KiB of it', async ({ files, root }) => {
    await files.write(`${root}/log`, 'old line\n', 0o644)
    const size = files.size(`${root}/log`)
    assert.is(size, 9)
    assert.equal(files.readFrom(`${root}/log`, size), { size: 9, text: '', next: 9 })
    await files.append(`${root}/log`, 'new line\n')
    assert.equal(files.readFrom(`${root}/log`, size), { size: 18, text: 'new line\n', next: 18 })
    assert.equal(files.readFrom(`${root}/log`, 100), { size: 18, text: '', next: 100 })
    await files.append(`${root}/log`, 'x'.repeat(100_000))
    assert.equal(files.readFrom(`${root}/log`, 18), { size: 100_018, text: 'x'.repeat(65_536), next: 65_554 })
  })

  guarantee('the next tail starts at the end of the last complete line, in bytes', async ({ files, root }) => {
    const line = `${'\u00e9'.repeat(50)}\n`
    await files.write(`${root}/log`, line.repeat(1000), 0o644)
    let [read, offset] = ['', 0]
    for (
      let piece = files.readFrom(`${root}/log`, 0);
      piece.next > offset;
      piece = files.readFrom(`${root}/log`, offset)
    ) {
      read += piece.text.slice(0, piece.text.lastIndexOf('\n') + 1)
      offset = piece.next
    }
    assert.is(read, line.repeat(1000))
    await files.append(`${root}/log`, 'begun, ')
    assert.is(files.readFrom(`${root}/log`, offset).next, offset)
    await files.append(`${root}/log`, 'ended\n')
    assert.equal(files.readFrom(`${root}/log`, offset), { size: 101_013, text: 'begun, ended\n', next: 101_013 })
  })

  guarantee('an unchanged file is read as the same object', async ({ files, root, age }) => {
    await files.write(`${root}/a`, 'text', 0o644)
    await files.symlink(`${root}/a`, `${root}/link`)
    age(`${root}/a`)
    const first = files.read(`${root}/a`)
    assert.is(files.read(`${root}/a`), first)
    const look = files.lstat(`${root}/a`)
    assert.is(look?.kind === 'file' && look.file, first)
  })

  guarantee('a change is seen at once, even one of the same size', async ({ files, root, age }) => {
    await files.write(`${root}/a`, 'text 0', 0o644)
    age(`${root}/a`)
    for (let i = 1; i < 10; i++) {
      const [before, stamp] = [files.read(`${root}/a`), files.stamp(`${root}/a`)]
      await files.writeUnsynced(`${root}/a`, `text ${i}`, 0o644)
      const after = files.read(`${root}/a`)
      assert.is(after?.text, `text ${i}`)
      assert.is.not(after, before)
      if (i === 1) assert.is.not(files.stamp(`${root}/a`), stamp)
    }
    await files.write(`${root}/b`, 'text b', 0o644)
    age(`${root}/b`)
    await files.rename(`${root}/b`, `${root}/a`)
    assert.is(files.read(`${root}/a`)?.text, 'text b')
  })

  guarantee('a changed target of a symlink is seen at once', async ({ files, root }) => {
    await files.symlink(`${root}/a`, `${root}/link`)
    assert.equal(files.lstat(`${root}/link`), { kind: 'link', target: `${root}/a` })
    await files.symlink(`${root}/b`, `${root}/.link.tmp`)
    await files.rename(`${root}/.link.tmp`, `${root}/link`)
    assert.equal(files.lstat(`${root}/link`), { kind: 'link', target: `${root}/b` })
    await files.remove(`${root}/link`)
    assert.is(files.lstat(`${root}/link`), undefined)
  })

  test('a file is read whole, or the failure is reported', () => {
    const { root, end } = hostWorld()
    try {
      assert.equal(readWholeFile(`${root}/a`), { failure: 'ENOENT' })
      writeFileSync(`${root}/a`, 'text\n')
      assert.equal(readWholeFile(`${root}/a`), { text: 'text\n', isPublic: true })
      chmodSync(`${root}/a`, 0o640)
      assert.equal(readWholeFile(`${root}/a`), { text: 'text\n', isPublic: false })
      assert.equal(readWholeFile(`${root}/a/b`), { failure: 'ENOTDIR' })
      assert.equal(readWholeFile(root), { failure: 'no file' })
    } finally {
      end()
    }
  })

  test.run()
}

const test = suite('files: only on the host')

for (const umask of [0o077, 0o000]) {
  test(`directories have the given mode under umask ${umask.toString(8)}`, async () => {
    const { files, root, modeOf, end } = hostWorld()
    const former = process.umask(umask)
    try {
      for (const mode of [0o700, 0o711, 0o755]) {
        await files.makeFolder(`${root}/f${mode}`, mode)
        assert.is(modeOf(`${root}/f${mode}`), mode)
      }
    } finally {
      process.umask(former)
      end()
    }
  })
}

test('an existing directory keeps its mode', async () => {
  const { files, root, modeOf, end } = hostWorld()
  try {
    await files.makeFolder(`${root}/a`, 0o755)
    chmodSync(`${root}/a`, 0o777)
    await files.makeFolder(`${root}/a`, 0o700)
    assert.is(modeOf(`${root}/a`), 0o777)
    await files.makeFolderBelow(root, 'a/b')
    assert.equal([modeOf(`${root}/a`), modeOf(`${root}/a/b`)], [0o777, 0o755])
  } finally {
    end()
  }
})

test('below a directory, no symlink is followed: neither to create nor to remove', async () => {
  const { files, root, end } = hostWorld()
  try {
    await files.makeFolder(`${root}/closed/deep`, 0o700)
    writeFileSync(`${root}/closed/deep/a`, 'mine')
    await files.makeFolder(`${root}/web`, 0o755)
    symlinkSync(`${root}/closed`, `${root}/web/link`)
    await fails(files.makeFolderBelow(`${root}/web`, 'link'), 'ENOTDIR')
    await fails(files.makeFolderBelow(`${root}/web`, 'link/new'), 'ENOTDIR')
    for (const path of ['link/b', 'link/deep/b'])
      await fails(files.writeBelow(`${root}/web`, path, 'x', 0o644), 'ENOTDIR')
    await fails(files.removeBelow(`${root}/web`, 'link/deep/a'), 'ENOTDIR')
    symlinkSync(`${root}/closed/deep/a`, `${root}/web/file`)
    await fails(files.writeBelow(`${root}/web`, './file', 'x', 0o644), 'EEXIST')
    assert.is(statSync(`${root}/closed`).mode & 0o777, 0o700)
    assert.equal(files.list(`${root}/closed`), ['deep'])
    assert.is(files.read(`${root}/closed/deep/a`)?.text, 'mine')
  } finally {
    end()
  }
})

test('a copy keeps bytes that are no UTF-8, and is not made through a symlink', async () => {
  const { files, root, end } = hostWorld()
  try {
    const bytes = Buffer.from([0x23, 0x20, 0xfc, 0x0a])
    writeFileSync(`${root}/latin`, bytes)
    await files.copy(`${root}/latin`, `${root}/copy`, 0o600)
    assert.ok(readFileSync(`${root}/copy`).equals(bytes))
    symlinkSync(`${root}/latin`, `${root}/link`)
    await fails(files.copy(`${root}/link`, `${root}/other`, 0o600), 'ELOOP')
  } finally {
    end()
  }
})

test('a directory that cannot be created fails with the reason, also below /proc', async () => {
  const { files, root, end } = hostWorld()
  try {
    for (const path of ['/proc/none', '/proc/none/deeper', '/proc/self/none'])
      await fails(files.makeFolder(path, 0o700), 'ENOENT')
    symlinkSync(`${root}/none`, `${root}/dangling`)
    await fails(files.makeFolder(`${root}/dangling/a`, 0o700), 'ENOENT')
    writeFileSync(`${root}/file`, 'x', { mode: 0o644 })
    await fails(files.makeFolder(`${root}/file`, 0o700), 'EEXIST')
    await fails(files.makeFolder(`${root}/file/a`, 0o700), 'ENOTDIR')
    assert.is(statSync(`${root}/file`).mode & 0o777, 0o644)
  } finally {
    end()
  }
})

test('what cannot be read is not absent: a directory whose symlink leads back to itself fails a read', () => {
  const { files, root, end } = hostWorld()
  try {
    symlinkSync('folder', `${root}/folder`)
    symlinkSync('folder/a', `${root}/a`)
    symlinkSync('./self', `${root}/self`)
    assert.is(files.read(`${root}/self`), undefined)
    for (const read of [
      () => files.list(`${root}/folder`),
      ...[files.read, files.realPath, files.stamp, files.lstat].map((at) => () => at(`${root}/folder/a`)),
      () => files.read(`${root}/a`),
    ])
      assert.throws(read, ({ code }: NodeJS.ErrnoException) => code === 'ELOOP')
  } finally {
    end()
  }
})

test('a directory, and its parents, may be created by two callers at once', async () => {
  const { files, root, end } = hostWorld()
  try {
    await Promise.all(['a', 'b', 'b', 'c'].map((name) => files.makeFolder(`${root}/one/two/${name}`, 0o700)))
    assert.equal(files.list(`${root}/one/two`).toSorted(), ['a', 'b', 'c'])
  } finally {
    end()
  }
})

test('more effects at once than may hold descriptors all end, those that need several too', async () => {
  const { files, root, end } = hostWorld()
  try {
    writeFileSync(`${root}/a`, 'text')
    await files.makeFolderBelow(root, 'b/c')
    const numbers = [...Array(200).keys()]
    await Promise.all(
      numbers.flatMap((i) => [
        files.copy(`${root}/a`, `${root}/copy-${i}`, 0o600),
        files.writeBelow(root, `b/c/${i}`, 'x', 0o644).then(() => files.removeBelow(root, `b/c/${i}`)),
        files.makeFolder(`${root}/folders/${i}`, 0o700),
        files.makeFolderBelow(root, `b/d/${i}`),
      ]),
    )
    assert.ok(numbers.every((i) => readFileSync(`${root}/copy-${i}`, 'utf8') === 'text'))
    assert.equal(
      [`b/c`, `b/d`, 'folders'].map((folder) => files.list(`${root}/${folder}`).length),
      [0, 200, 200],
    )
  } finally {
    end()
  }
})

test('texts of a removed directory do not stay in memory', async () => {
  const { files, root, end } = hostWorld()
  try {
    await files.makeFolder(`${root}/certificates/app/1`, 0o700)
    await files.makeFolder(`${root}/certificates/app-2`, 0o700)
    const paths = ['app/1', 'app-2'].map((folder) => `${root}/certificates/${folder}/privkey.pem`)
    const texts = paths.map((path) => {
      writeFileSync(path, 'a key')
      utimesSync(path, 1_700_000_000, 1_700_000_000)
      return new WeakRef(files.read(path) ?? {})
    })
    await files.removeFolder(`${root}/certificates/app`)
    collectGarbage()
    assert.equal(
      texts.map((text) => text.deref()),
      [undefined, { text: 'a key' }],
    )
  } finally {
    end()
  }
})

test.run()

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
}

async function fails(effect: Promise<unknown>, code: string): Promise<void> {
  const error = await effect.then(
    () => undefined,
    (thrown: NodeJS.ErrnoException) => thrown,
  )
  assert.is(error?.code, code)
}
